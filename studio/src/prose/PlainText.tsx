import { useMemo } from "react";

import { Signs } from "./Signs";
import { tame } from "./tame";

/** Words as they were written, without towers of marks and with turning signs written out. */
export function PlainText({ text }: { text: string }) {
  const calm = useMemo(() => tame(text).text, [text]);
  return <Signs text={calm} />;
}
