//! Tests of the worker core on simulated transports.
