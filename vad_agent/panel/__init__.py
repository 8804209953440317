"""The operator's panel: a web page beside the softphone, in Russian, made for a second of attention."""
