"use strict";
/* Draws the plots one after the other, in the colours of the style sheet; without this script
   (or without plotly) the still pictures stay where they are. */
(() => {
  const root = document.documentElement;
  const touch = matchMedia("(pointer: coarse)").matches;
  const dark = matchMedia("(prefers-color-scheme: dark)");

  function colours() {
    const style = getComputedStyle(root);
    return (name) => style.getPropertyValue(`--${name}`).trim();
  }

  /* "var(--blue)" and "var(--blue,.2)" become colours that plotly knows. */
  function painted(value, colour) {
    if (Array.isArray(value)) return value.map((each) => painted(each, colour));
    if (value !== null && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, painted(v, colour)]));
    }
    const found = typeof value === "string" && /^var\(--(\w+)(?:,([\d.]+))?\)$/.exec(value);
    if (!found) return value;
    const hex = colour(found[1]);
    if (!found[2]) return hex;
    const parts = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    return `rgba(${parts.join(",")},${found[2]})`;
  }

  function themed(layout, colour) {
    const axis = {
      gridcolor: colour("grid"), linecolor: colour("line"), zerolinecolor: colour("line"),
      tickfont: { color: colour("muted"), size: 11 },
    };
    return {
      ...layout,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("ink") },
      hoverlabel: {
        bgcolor: colour("card"), bordercolor: colour("line"), align: "left",
        font: { color: colour("ink"), size: 12 },
      },
      dragmode: touch ? false : "zoom",
      xaxis: { ...axis, ...layout.xaxis, fixedrange: touch },
      yaxis: { ...axis, ...layout.yaxis, fixedrange: touch },
    };
  }

  function draw(box) {
    const spec = JSON.parse(box.nextElementSibling.nextElementSibling.textContent);
    const colour = colours();
    box.classList.add("drawn");
    return Plotly.react(box, painted(spec.data, colour), themed(spec.layout, colour), {
      responsive: true, displaylogo: false, displayModeBar: false,
    });
  }

  const shown = (box) => !box.closest("details:not([open])");
  let waiting = [];
  function next() {
    const box = waiting.shift();
    if (!box) return;
    draw(box);
    setTimeout(next, 0);
  }
  function drawAll(boxes) {
    const idle = waiting.length === 0;
    waiting.push(...boxes.filter((box) => shown(box) && !box.classList.contains("drawn")));
    if (idle) setTimeout(next, 0);
  }

  const boxes = Array.from(document.querySelectorAll(".plot"));
  if (window.Plotly) {
    drawAll(boxes);
    for (const fold of document.querySelectorAll("details")) {
      fold.addEventListener("toggle", () => drawAll(Array.from(fold.querySelectorAll(".plot"))));
    }
    dark.addEventListener("change", () => {
      boxes.filter((box) => box.classList.contains("drawn")).forEach(draw);
    });
  }

  let folded = [];
  addEventListener("beforeprint", () => {
    folded = Array.from(document.querySelectorAll("details:not([open])"));
    folded.forEach((fold) => { fold.open = true; });
  });
  addEventListener("afterprint", () => folded.forEach((fold) => { fold.open = false; }));

  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = button.parentElement.querySelector("code");
      try {
        await navigator.clipboard.writeText(text.textContent);
        button.textContent = "copied";
      } catch {
        getSelection().selectAllChildren(text);
        button.textContent = "selected";
      }
    });
  }
})();
