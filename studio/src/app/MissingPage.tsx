import { Link } from "react-router";

import { useText } from "../i18n";

export function MissingPage() {
  const text = useText();
  return (
    <div className="page">
      <title>{`${text.page.missing} · ${text.product}`}</title>
      <div className="column">
        <h1>{text.page.missing}</h1>
        <p className="soft">{text.page.missingWhy}</p>
        <p>
          <Link className="button" to="/chat">
            {text.page.toChat}
          </Link>
        </p>
      </div>
    </div>
  );
}
