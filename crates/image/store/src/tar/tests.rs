//! Tests of reading and writing tar streams.
