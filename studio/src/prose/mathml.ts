/** Formulas as MathML: fetched only when a text has one. */
import temml from "temml";
import "temml/dist/Temml-Local.css";
import "./math.css";

/** A formula, drawn; null when it is no TeX that can be. */
export function draw(tex: string, display: boolean): Element | null {
  const place = document.createElement("span");
  try {
    temml.render(tex, place, {
      displayMode: display,
      throwOnError: true,
      trust: false, // no addresses, no images
      maxExpand: 500,
      maxSize: [40, 4000],
      strict: false,
      wrap: "none",
    });
    return place;
  } catch {
    return null; // a model's slip: its source is shown instead
  }
}
