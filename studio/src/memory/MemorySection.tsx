import { Link } from "react-router";

import { useText } from "../i18n";

/** The way from the settings to what assistants remember. */
export function MemorySection() {
  const text = useText();
  return (
    <section>
      <h2>{text.memory.section}</h2>
      <p>
        <Link to="/memory">{text.memory.link}</Link>
      </p>
    </section>
  );
}
