import { Link } from "react-router";

import { LeftIcon } from "./icons";

/** The way from one thing to the list that it stands in. */
export function BackLink({ to, words }: { to: string; words: string }) {
  return (
    <p className="small">
      <Link className="back" to={to}>
        <LeftIcon size={16} />
        {words}
      </Link>
    </p>
  );
}
