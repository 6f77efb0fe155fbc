//! Which files are written for which limits, computed before anything is touched.
