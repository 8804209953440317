"""Right and wrong decisions of the contenders, ours and others', on labelled calls. See README.md."""
