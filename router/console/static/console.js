// What makes the console more pleasant. Every page works without it.

const ready = (selector, start, root = document) => root.querySelectorAll(selector).forEach(start);

// Times in the visitor's own zone; the title keeps UTC.
function localise(root) {
  const long = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  ready("time[datetime]", (time) => {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime()) || time.title) return;
    time.title = time.textContent;
    time.textContent = long.format(at);
  }, root);
}

// Buttons that copy what stands beside them.
function offerCopies(root) {
  if (!navigator.clipboard) return;
  ready("[data-copy]", (button) => {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const before = button.textContent;
      try {
        await navigator.clipboard.writeText(button.dataset.copy);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Not allowed";
      }
      setTimeout(() => { button.textContent = before; }, 2000);
    });
  }, root);
}

// Questions before something is lost. Without script the service asks on a page of its own.
function askFirst(form) {
  form.addEventListener("submit", (event) => {
    if (form.elements.confirmed) return;
    event.preventDefault();
    const dialog = document.createElement("dialog");
    dialog.setAttribute("aria-labelledby", "dialog-title");
    const title = Object.assign(document.createElement("h2"), { id: "dialog-title", textContent: form.dataset.confirm });
    const text = Object.assign(document.createElement("p"), { textContent: form.dataset.confirmText });
    const actions = Object.assign(document.createElement("div"), { className: "actions" });
    const yes = Object.assign(document.createElement("button"), { className: form.dataset.confirmLook ?? "", textContent: form.dataset.confirmButton });
    const no = Object.assign(document.createElement("button"), { className: "quiet", textContent: "Cancel", autofocus: true });
    actions.append(yes, no);
    dialog.append(title, text, actions);
    yes.addEventListener("click", () => {
      form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "confirmed", value: "yes" }));
      dialog.close();
      form.requestSubmit();
    });
    no.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  });
}

// Parts of a page that are asked for again while something is going on.
function keepFresh(part) {
  const pause = 1500;
  setTimeout(async () => {
    try {
      const reply = await fetch(part.dataset.refresh, { headers: { accept: "text/html" } });
      if (reply.redirected) { location.reload(); return; }
      if (reply.ok) {
        const fresh = new DOMParser().parseFromString(await reply.text(), "text/html").body.firstElementChild;
        if (fresh) { part.replaceWith(fresh); start(fresh); return; }
      }
    } catch {
      // Away for a moment: the next look will tell.
    }
    keepFresh(part);
  }, pause);
}

// Pages about calls follow what happens: each event brings the page up to date.
function follow(part) {
  const sign = document.querySelector("[data-live-sign]");
  const source = new EventSource(part.dataset.live);
  let waiting = null;
  const refresh = async () => {
    waiting = null;
    const reply = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
    if (!reply?.ok || reply.redirected) return;
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    const fresh = page.getElementById(part.id);
    if (!fresh) return;
    part.replaceChildren(...fresh.childNodes);
    start(part);
    if (!fresh.dataset.live) source.close();
    ready("[data-filter]", (form) => form.dispatchEvent(new Event("input")));
  };
  const told = (event) => {
    const wanted = part.dataset.liveCall;
    if (wanted && JSON.parse(event.data).call_id !== wanted) return;
    waiting ??= setTimeout(refresh, 300);
  };
  for (const name of part.dataset.liveEvents.split(" ")) source.addEventListener(name, told);
  source.addEventListener("open", () => { if (sign) sign.hidden = false; });
  source.addEventListener("error", () => { if (sign) sign.hidden = true; });
  addEventListener("pagehide", () => source.close());
}

// A list that is narrowed down while one types.
function filter(form) {
  form.hidden = false;
  const count = form.querySelector("[data-count]");
  const apply = () => {
    const rows = [...document.querySelectorAll(form.dataset.filter)];
    const text = (form.elements.text?.value ?? "").trim().toLowerCase();
    const kind = form.elements.kind?.value ?? "";
    const digits = /^[+\d\s().\/-]{3,}$/.test(text) ? text.replace(/\D/g, "") : "";  // a number in any spelling
    let shown = 0;
    for (const row of rows) {
      const found = row.textContent.toLowerCase().includes(text)
        || (digits && [...row.cells].some((cell) => cell.textContent.replace(/[\s().-]/g, "").includes(digits)));
      row.hidden = !(found && (!kind || row.dataset.kind === kind));
      if (!row.hidden) shown += 1;
    }
    if (count) count.textContent = shown === rows.length ? "" : `${shown} of ${rows.length} on this page`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
}

// One more of a repeated group of fields, copied from its template.
function offerMore(button) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const template = document.getElementById(button.dataset.more);
    const number = document.querySelectorAll(`[data-group=${button.dataset.more}]`).length;
    const holder = document.createElement("div");
    holder.innerHTML = template.innerHTML.replaceAll("__number__", String(number));
    button.closest(".actions").before(...holder.children);
    document.querySelectorAll(`[data-group=${button.dataset.more}]`)[number]?.querySelector("input, select, textarea")?.focus();
  });
}

// The numbers of the day in a chart that is pointed at or touched, read out of the table below it.
function readOut(part) {
  const picture = part.querySelector("svg");
  const reading = part.querySelector("[data-reading]");
  const plot = picture.querySelector(".plot .background");
  const names = [...part.querySelectorAll("thead th")].slice(1).map((head) => head.textContent);
  const rows = [...part.querySelectorAll("tbody tr")];
  const edge = 0.02 / 1.04;  // what pygal leaves free at each side
  const step = (1 - 2 * edge) / rows.length;
  const gap = (1 - 2 * edge) / Math.max(rows.length - 1, 1);
  const isLine = picture.querySelector(".line-graph") !== null;  // its first and last points are on the edges
  const mark = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  mark.setAttribute("class", "marked");
  mark.setAttribute("height", plot.getAttribute("height"));
  mark.setAttribute("width", plot.getAttribute("width") * step);
  const show = (event) => {
    const { left, width } = plot.getBoundingClientRect();
    const share = (event.clientX - left) / width - edge;
    const place = isLine ? Math.round(share / gap) : Math.floor(share / step);
    const at = Math.max(0, Math.min(rows.length - 1, place));
    const [when, ...numbers] = [...rows[at].cells].map((cell) => cell.textContent);
    reading.textContent = `${when}: ${numbers.map((number, one) => `${names[one]} ${number}`).join(" · ")}`;
    mark.setAttribute("x", plot.getAttribute("width") * (edge + (isLine ? at * gap - step / 2 : at * step)));
    plot.after(mark);
  };
  for (const name of ["pointerdown", "pointermove"]) picture.addEventListener(name, show);
}

// A time zone that is not chosen yet is likely to be the visitor's own.
function offerTimezone(field) {
  field.value ||= Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
}

// A form that has been sent is not sent twice by a second click.
function sendOnce(form) {
  form.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    form.setAttribute("aria-busy", "true");
  });
}

function start(root) {
  localise(root);
  offerCopies(root);
  ready("form[data-confirm]", askFirst, root);
  ready("form[method=post]", sendOnce, root);
  ready("[data-filter]", filter, root);
  ready("[data-more]", offerMore, root);
  ready("[data-chart]", readOut, root);
  ready("[data-timezone]", offerTimezone, root);
  ready("[data-refresh]", keepFresh, root);
  if (root.matches?.("[data-refresh]")) keepFresh(root);
}

start(document);
ready("[data-live]", follow);
document.querySelector("[data-focus]")?.focus();
addEventListener("pageshow", () => ready("form[data-sent]", (form) => { delete form.dataset.sent; form.removeAttribute("aria-busy"); }));
