//! The tables of the store in the shared database.
