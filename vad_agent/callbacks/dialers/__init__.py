"""What dials at this centre, one file each behind one small port."""
