//! Streams of exec, attach, logs and port-forward, over WebSocket and SPDY.
