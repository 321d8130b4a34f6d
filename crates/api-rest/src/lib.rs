//! api-rest
