//! How a client's messages become hub commands and effects become frames.
