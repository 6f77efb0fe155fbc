//! Control groups v1, v2 and hybrid behind one interface, with limits, device rules and statistics.
