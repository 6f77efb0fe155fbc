//! What is kept of a container between two commands: one folder beneath `--root`, with `state.json` in it.
