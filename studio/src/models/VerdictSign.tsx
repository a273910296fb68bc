import type { Verdict } from "../api/catalog";
import { CheckIcon, InfoIcon, NoIcon, UnknownIcon } from "../ui/icons";

const ICONS: Record<Verdict, typeof CheckIcon> = {
  fits: CheckIcon,
  fits_with_less_context: InfoIcon,
  does_not_fit: NoIcon,
  unknown: UnknownIcon,
};

/** Whether a model fits here, as a sign and words. */
export function VerdictSign({ verdict, words }: { verdict: Verdict; words: string }) {
  const Icon = ICONS[verdict];
  return (
    <span className="verdict" data-verdict={verdict}>
      <Icon size={16} />
      <span>{words}</span>
    </span>
  );
}
