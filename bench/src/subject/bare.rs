//! The limit: a bare actix-web handler that answers the same bytes out of memory.

use std::{net::SocketAddr, path::Path, process::Command, rc::Rc};

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Result;

use super::{Requests, Running, Subject};
use crate::{
    data::{Minute, Numbers, ticket},
    http::write_request,
    process::{Process, free_address},
};

/// The bare handler, in a process of its own.
pub struct Bare;

struct Api;

const RECORDS: &str = "/v1/tenants/t0000/records/ticket";

impl Subject for Bare {
    fn name(&self) -> &str {
        "bare actix"
    }

    fn durability(&self) -> &str {
        "none: canned answers"
    }

    fn start(&self, folder: &Path, _tenants: usize) -> Result<Running> {
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve-bare", &address.to_string()]);
        Ok(Running {
            process: Process::start(command, address, &folder.join("log"))?,
            requests: Rc::new(Api),
        })
    }
}

impl Requests for Api {
    fn create(&self, out: &mut Vec<u8>, _tenant: usize, members: &str) {
        write_request(
            out,
            "POST",
            RECORDS,
            "token",
            format!("{{{members}}}").as_bytes(),
        );
    }

    fn get(&self, out: &mut Vec<u8>, _tenant: usize, id: &str) {
        write_request(out, "GET", &format!("{RECORDS}/{id}"), "token", b"");
    }

    fn update(&self, out: &mut Vec<u8>, _tenant: usize, id: &str, patch: &str) {
        let path = format!("{RECORDS}/{id}");
        write_request(out, "PATCH", &path, "token", patch.as_bytes());
    }

    fn list(&self, out: &mut Vec<u8>, _tenant: usize, _before: Option<Minute>) {
        let path = format!("{RECORDS}?status=open&order=-opened_at&limit=50");
        write_request(out, "GET", &path, "token", b"");
    }
}

/// The server that [`Bare`] starts.
pub fn serve(address: SocketAddr) -> Result<()> {
    let members = ticket(&mut Numbers::new(1));
    let record: web::Bytes = format!(
        r#"{{"id":"01a20988-d2a9-7588-abc2-5f76633eb640","version":1,"created_at":"2026-11-23T17:51:31.497Z","updated_at":"2026-11-23T17:51:31.497Z","tier":"hot","data":{{{members}}}}}"#
    )
    .into();
    let text = String::from_utf8_lossy(&record).into_owned();
    let list: web::Bytes = format!(
        r#"{{"items":[{}],"next_cursor":null,"units":{{"read":11}}}}"#,
        vec![text; 50].join(",")
    )
    .into();
    let answer = |bytes: &web::Bytes| {
        let bytes = bytes.clone();
        move |_body: web::Bytes| {
            let bytes = bytes.clone();
            async move {
                HttpResponse::Ok()
                    .content_type("application/json")
                    .body(bytes)
            }
        }
    };
    actix_web::rt::System::new().block_on(async move {
        HttpServer::new(move || {
            let path = "/v1/tenants/{tenant}/records/{entity}";
            App::new()
                .service(
                    web::resource(path)
                        .route(web::get().to(answer(&list)))
                        .route(web::post().to(answer(&record))),
                )
                .service(
                    web::resource(format!("{path}/{{id}}"))
                        .route(web::get().to(answer(&record)))
                        .route(web::patch().to(answer(&record))),
                )
        })
        .bind(address)?
        .run()
        .await
    })?;
    Ok(())
}
