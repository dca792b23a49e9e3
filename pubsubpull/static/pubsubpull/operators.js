// Fetches the page now and then and puts what is live on it in place; focus, scrolling and what is unfolded stay.
"use strict";
(() => {
  const box = document.getElementById("psp-refresh");
  const stale = document.getElementById("psp-stale");
  box.closest("label").hidden = false;

  const kept = (root) => [...root.querySelectorAll(".psp-wide")];

  const put = (fresh) => {
    const live = document.getElementById("psp-live");
    const focus = live.contains(document.activeElement) ? document.activeElement : null;
    const wide = focus ? kept(live).indexOf(focus) : -1;
    const lefts = kept(live).map((one) => one.scrollLeft);
    for (const one of live.querySelectorAll("details[open]")) {
      const same = fresh.querySelector("#" + CSS.escape(one.id));
      if (same) same.open = true;
    }
    live.replaceWith(fresh);
    kept(fresh).forEach((one, place) => { one.scrollLeft = lefts[place] || 0; });
    const again = wide >= 0 ? kept(fresh)[wide] : focus && focus.id && document.getElementById(focus.id);
    if (again) again.focus({ preventScroll: true });
  };

  const refresh = async () => {
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", redirect: "manual" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("psp-live");
      if (!answer.ok || !fresh) throw new Error(String(answer.status));
      // Whoever is about to press a button or has selected a text is left in peace.
      if (!document.querySelector("#psp-live button:active") && getSelection().isCollapsed) put(document.adoptNode(fresh));
      stale.hidden = true;
    } catch {
      stale.hidden = false;
    }
  };

  setInterval(() => { if (box.checked && !document.hidden) refresh(); }, box.dataset.seconds * 1000);
  box.addEventListener("change", () => { if (box.checked) refresh(); });
})();
