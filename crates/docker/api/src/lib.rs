//! The Docker Engine HTTP API, a translation onto the engine and nothing else.
