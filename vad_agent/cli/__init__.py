"""The commands of `vad-agent`, one file each; `main.py` registers them."""
