//! A client that costs little: one connection, one request at a time, written and read by hand, so that a measurement is of the
//! server and not of the client beside it.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

pub struct Connection {
    stream: TcpStream,
    host: String,
    authorization: String,
    out: Vec<u8>,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(address: &str, authorization: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            host: address.to_owned(),
            authorization: authorization.to_owned(),
            out: Vec::new(),
            buffer: Vec::new(),
        })
    }

    /// From an address of this host, without a credential.
    pub async fn open_from(source: IpAddr, address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(source, 0))?;
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            host: address.to_string(),
            authorization: "Bearer none".to_owned(),
            out: Vec::new(),
            buffer: Vec::new(),
        })
    }

    /// The status and the body.
    pub async fn post(
        &mut self,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> anyhow::Result<(u16, Vec<u8>)> {
        self.post_as(path, None, headers, body).await
    }

    pub async fn post_as(
        &mut self,
        path: &str,
        authorization: Option<&str>,
        headers: &str,
        body: &[u8],
    ) -> anyhow::Result<(u16, Vec<u8>)> {
        self.send_as("POST", path, authorization, headers, body).await?;
        self.read().await
    }

    pub async fn get(&mut self, path: &str, headers: &str) -> anyhow::Result<(u16, Vec<u8>)> {
        self.send_as("GET", path, None, headers, b"").await?;
        self.read().await
    }

    async fn send_as(
        &mut self,
        method: &str,
        path: &str,
        authorization: Option<&str>,
        headers: &str,
        body: &[u8],
    ) -> anyhow::Result<()> {
        use std::io::Write;
        self.out.clear();
        let authorization = authorization.unwrap_or(&self.authorization);
        write!(
            self.out,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: {authorization}\r\nContent-Length: {}\r\n{headers}\r\n",
            self.host,
            body.len()
        )?;
        self.out.extend_from_slice(body);
        Ok(self.stream.write_all(&self.out).await?)
    }

    /// Asks for an answer that never ends; [`Self::stream`] reads it.
    pub async fn open_stream(&mut self, path: &str, headers: &str) -> anyhow::Result<()> {
        self.send_as("GET", path, None, headers, b"").await
    }

    pub async fn put(&mut self, path: &str, body: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
        self.send_as("PUT", path, None, "", body).await?;
        self.read().await
    }

    /// What has come of an answer that never ends; waits until something has.
    pub async fn stream(&mut self) -> anyhow::Result<&[u8]> {
        self.buffer.clear();
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(&self.buffer)
    }

    async fn read(&mut self) -> anyhow::Result<(u16, Vec<u8>)> {
        self.buffer.clear();
        let (head, status, length) = loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection");
            }
            let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
                continue;
            };
            let head = std::str::from_utf8(&self.buffer[..end]).context("read a head")?;
            let status: u16 = head
                .split(' ')
                .nth(1)
                .and_then(|code| code.parse().ok())
                .context("read a status")?;
            let length = head.split("\r\n").find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse::<usize>().ok())?
            });
            break (end + 4, status, length.unwrap_or(0));
        };
        while self.buffer.len() < head + length {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection");
            }
        }
        Ok((status, self.buffer[head..head + length].to_vec()))
    }
}
