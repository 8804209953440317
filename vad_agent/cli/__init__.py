"""The commands of `vad-agent`, a file each; `cli.py` puts them together."""
