//! Blobs, layers, snapshots, images and volumes on disk, and their garbage collection.
