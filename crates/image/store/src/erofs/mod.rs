//! EROFS: the tree of a layer and its encoding.
