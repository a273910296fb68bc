/** Formulas as MathML: fetched only when a text has one. */
import temml from "temml";
import "temml/dist/Temml-Local.css";
import "./math.css";

/** Draws a formula into `place`; false when it is no TeX that can be drawn. */
export function draw(tex: string, display: boolean, place: HTMLElement): boolean {
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
    return true;
  } catch {
    place.replaceChildren(); // a model's slip: its source is shown instead
    return false;
  }
}
