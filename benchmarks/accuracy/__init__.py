"""Right and wrong decisions of the ears, ours and others', on labelled calls. See README.md."""
