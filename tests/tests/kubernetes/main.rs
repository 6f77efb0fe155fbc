//! Kubernetes as its stock clients see it: kubectl of two ages, helm, the Python, JavaScript and Rust libraries.

mod apply;
mod chaos;
mod clients;
mod datastore;
mod faults;
mod helm;
mod jobs;
mod kubectl;
mod node;
mod pods;
mod resources;
mod rollout;
mod rust;
mod scheduling;
mod services;
mod streams;
mod survival;
mod volumes;
mod workloads;
