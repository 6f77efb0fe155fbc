//! Tests of bringing layers in.
