//! Services as packets see them, in network namespaces of each test's own.

mod scale;
mod traffic;
mod world;
