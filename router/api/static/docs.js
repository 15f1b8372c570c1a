// Starts Swagger UI. Requests go to the address from which this page came: the policy allows no other.
"use strict";

async function start() {
  const base = new URL(".", document.baseURI);
  const spec = await (await fetch(new URL("openapi.json", base))).json();
  spec.servers = [{ url: base.href.replace(/\/$/, "") }];
  SwaggerUIBundle({
    spec,
    dom_id: "#reference",
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    docExpansion: "none",
    filter: true,
    persistAuthorization: false,
    validatorUrl: null,
  });
}

start();
