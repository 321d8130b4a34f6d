//! Serves the pages with made-up data on loopback, for the browser suite and for who works on a page:
//! `cargo run -p web --example fixture-server -- [PORT] [calm|hostile|empty]`, then open the address that it prints.

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use std::sync::Arc;

#[tokio::main]
async fn main() -> Result<(), std::io::Error> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().and_then(|port| port.parse().ok()).unwrap_or(0);
    let mut fixture = fixture::Fixture::new();
    match arguments.next().as_deref() {
        Some("hostile") => fixture = fixture::Fixture::hostile(),
        Some("empty") => fixture.empty = true,
        _ => {}
    }
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}/login?token=admin-token", listener.local_addr()?);
    axum::serve(listener, web::router(Arc::new(fixture))).await
}
