//! What the fuzz targets have in common: a slow reference of the receiving side and of a grammar,
//! written from the RFC alone ([`reference`], [`grammar`]), frames right and wrong ([`wire`]), and
//! the C zlib as the other side ([`zlib`]).
//!
//! `make fuzz` runs all targets, `scripts/fuzz --help` says how to run one.

pub mod ends;
pub mod grammar;
pub mod reference;
pub mod wire;
pub mod zlib;
