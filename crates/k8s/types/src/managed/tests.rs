//! Who owns what after every kind of write.
