//! The pages that the program serves, embedded.
