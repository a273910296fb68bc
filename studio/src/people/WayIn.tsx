import { Link, useLocation } from "react-router";

import { useText } from "../i18n";
import { KeyForm } from "../ui/KeyForm";
import { useAccounts } from "./useMe";
import { signInFrom } from "./ways";

/** What lets one in where a call was refused: the server's key, or signing in again. */
export function WayIn({ onSaved }: { onSaved: (key: string) => void }) {
  const text = useText();
  const accounts = useAccounts();
  const at = useLocation();
  if (!accounts) return <KeyForm onSaved={onSaved} />;
  // A real link: the page that opens asks who one is, and comes back here.
  return (
    <Link className="button primary fit" to={signInFrom(at)} reloadDocument>
      {text.people.signIn.enter}
    </Link>
  );
}
