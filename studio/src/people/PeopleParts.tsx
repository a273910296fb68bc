import type { ReactNode } from "react";

import { AccountPart } from "./AccountPart";
import { KeysPart } from "./KeysPart";
import { PasswordPart } from "./PasswordPart";
import { SessionsPart } from "./SessionsPart";
import { useMe } from "./useMe";
import "./people.css";

/** The settings of a person with an account; `otherwise` stands there for one without. */
export function PeopleParts({ otherwise }: { otherwise: ReactNode }) {
  const me = useMe().data;
  if (me?.mode !== "accounts") return otherwise;
  if (me.person === null) return null;
  return (
    <>
      <AccountPart person={me.person} />
      <PasswordPart person={me.person} />
      <SessionsPart />
      <KeysPart />
    </>
  );
}
