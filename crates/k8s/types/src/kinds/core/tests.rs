//! Small kinds of the core group: faults, updates and columns.
