//! The command line client with docker's verbs; speaks only the Engine API.
