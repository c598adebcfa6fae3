//! The site's ways in: lines and HTTP.
