"""Where data comes from, behind one small protocol."""
