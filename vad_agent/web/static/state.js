// What the headset has told so far, and what is often asked of it. Written by `take` in panel.js alone.

/** The keys are those of a message of /panel/stream; one that has not come yet is missing. */
export const state = {};

export const inCall = () => state.phase != null && state.phase !== "ended";

/** The state of the call in one line. */
export const headline = () => state.headline ?? state.phase_text ?? "";

/** The watch stands: its key says so. */
export const paused = () => (state.keys ?? []).some(([, , sends]) => sends?.kind === "resume");
