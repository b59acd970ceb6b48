//! What the reader makes of small archives, block by block.
