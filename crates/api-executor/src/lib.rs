//! api-executor
