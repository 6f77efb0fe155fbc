//! EROFS images of metadata only: the files of a layer, their data left where it is in the layer's tar.
//!
//! The image is mounted with the tar as its extra device. Blocks are 512 bytes, the unit of tar, so that the data of
//! every file starts at a block. Format: <https://docs.kernel.org/filesystems/erofs.html> and `erofs_fs.h`.

mod directory;
mod encode;
mod format;

pub(crate) use encode::encode;

#[cfg(test)]
mod tests;
