//! How publications reach every node.
