//! `/v1/auth`: sign in, sign out, who am I.

use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite, time::Duration},
    http::header,
    web,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{
    Answer, Services,
    authenticate::{COOKIE, ReqCaller},
    body,
    client::Client,
    routes,
};
use crate::service::{Caller, Scope};

/// The routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(routes::resource("/v1/auth/login").route(web::post().to(login)))
        .service(routes::resource("/v1/auth/logout").route(web::post().to(logout)))
        .service(
            routes::resource("/v1/auth/me")
                .route(web::get().to(me))
                .route(web::head().to(me)),
        );
}

/// An operator's sign-in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The email address.
    email: String,
    /// The password.
    password: String,
}

/// A session that began; the same token is in the cookie `tenantry_session`.
#[derive(Serialize, ToSchema)]
pub struct LoggedIn {
    /// The bearer token.
    token: String,
    /// When it ends.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// Who asks.
#[derive(Serialize, ToSchema)]
pub struct Me {
    /// `operator` or `key`.
    kind: String,
    /// The operator's email address.
    email: Option<String>,
    /// The key's tenant.
    tenant: Option<String>,
    /// The key's id.
    key: Option<String>,
    /// What the key may do; null for operators, who may do everything.
    scopes: Option<Vec<Scope>>,
}

/// Signs an operator in.
#[utoipa::path(
    post, path = "/v1/auth/login", tag = "auth", security(()),
    request_body = Login,
    responses(
        (status = 200, description = "The session, also as a cookie", body = LoggedIn),
        super::openapi::Refused,
    )
)]
pub async fn login(app: Services, request: HttpRequest, payload: web::Payload) -> Answer {
    let wish: Login = body::json(&app, &request, payload).await?;
    let address = Client::of(&request).address_text();
    let session = app
        .auth
        .login(&wish.email, &wish.password, &address)
        .await?;
    let left = session.expires_at.0 - app.core.clock.now().0;
    let cookie = cookie(
        &request,
        session.token.clone(),
        Duration::milliseconds(left),
    );
    Ok(HttpResponse::Ok().cookie(cookie).json(LoggedIn {
        token: session.token,
        expires_at: session.expires_at.to_rfc3339(),
    }))
}

fn cookie(request: &HttpRequest, value: String, age: Duration) -> Cookie<'static> {
    Cookie::build(COOKIE, value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(Client::of(request).secure)
        .max_age(age)
        .finish()
}

/// Ends the session that the request came with.
#[utoipa::path(
    post, path = "/v1/auth/logout", tag = "auth",
    responses((status = 204, description = "It is over"), super::openapi::Refused)
)]
pub async fn logout(app: Services, request: HttpRequest) -> Answer {
    let bearer = request.headers().get(header::AUTHORIZATION);
    let bearer = bearer.and_then(|value| value.to_str().ok()?.split_once(' '));
    if let Some((_, token)) = bearer {
        app.auth.logout(token.trim()).await?;
    }
    if let Some(cookie) = request.cookie(COOKIE) {
        app.auth.logout(cookie.value()).await?;
    }
    let gone = cookie(&request, String::new(), Duration::ZERO);
    Ok(HttpResponse::NoContent().cookie(gone).finish())
}

/// Who the credentials of the request belong to.
#[utoipa::path(
    get, path = "/v1/auth/me", tag = "auth",
    responses((status = 200, description = "Who asks", body = Me), super::openapi::Refused)
)]
pub async fn me(caller: ReqCaller) -> Answer {
    let me = match caller.0 {
        Caller::Operator { email } => json!({"kind": "operator", "email": &*email,
            "tenant": null, "key": null, "scopes": null}),
        Caller::Local => json!({"kind": "operator", "email": null,
            "tenant": null, "key": null, "scopes": null}),
        Caller::Key { tenant, id, scopes } => json!({"kind": "key", "email": null,
            "tenant": tenant.as_str(), "key": &*id, "scopes": &*scopes}),
        Caller::Anonymous => return Err(crate::service::unauthenticated().into()),
    };
    Ok(HttpResponse::Ok().json(me))
}
