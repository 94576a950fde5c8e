// One dashboard at a time; its charts are drawn when it is first seen, as only then their size is known.
function draw(section) {
  for (const place of section.querySelectorAll(".chart:not(.drawn)")) {
    const figure = FIGURES[place.id.slice("chart-".length)];
    place.classList.add("drawn");
    Plotly.newPlot(place, figure.data, figure.layout, { displayModeBar: false, responsive: true });
  }
}
function show() {
  const sections = [...document.querySelectorAll("section")];
  const wanted = decodeURIComponent(location.hash.slice(1));
  const section = sections.find((one) => one.dataset.uid === wanted) || sections[0];
  for (const one of sections) one.classList.toggle("here", one === section);
  for (const link of document.querySelectorAll("nav a")) link.classList.toggle("here", link.hash === "#" + section.dataset.uid);
  draw(section);
}
addEventListener("hashchange", show);
show();
