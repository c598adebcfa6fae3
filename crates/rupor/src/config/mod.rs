//! The configuration: what the flags, the environment, the file and the defaults come to.
//!
//! [`Config`] is the checked result; everything else in the program reads only that.

mod secret;
mod types;

pub(crate) use secret::Secret;
pub(crate) use types::{
    Application, ApplicationRule, Auth, ChannelRule, Config, InletAddress, Jwt, JwtAlgorithm,
    JwtKey, JwtSources, LogFormat, Mode, Network, Origins, TlsFiles, Who,
};
