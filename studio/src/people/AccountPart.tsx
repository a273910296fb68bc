import { useMutation } from "@tanstack/react-query";

import { signOut, type Person } from "../api/people";
import { failureFrom } from "../api/useModels";
import { useText } from "../i18n";
import { Failed } from "../ui/Failed";
import { keepOnlyOf, SIGN_IN } from "./ways";

/** Who is signed in here, and the way out. */
export function AccountPart({ person }: { person: Person }) {
  const text = useText();
  const words = text.people.account;
  const leave = useMutation({
    mutationFn: () => signOut({ key: null }),
    networkMode: "always",
    onSuccess: () => {
      keepOnlyOf(null);
      window.location.assign(SIGN_IN);
    },
  });
  return (
    <section className="account">
      <h2>{words.title}</h2>
      <p>
        {words.as} <strong translate="no">{person.name}</strong>
      </p>
      <p className="small soft">{words.out}</p>
      {leave.error ? (
        <Failed failure={failureFrom(leave.error)} onRetry={() => leave.mutate()} />
      ) : null}
      <button
        type="button"
        className="button fit"
        aria-disabled={leave.isPending}
        onClick={() => {
          if (!leave.isPending) leave.mutate();
        }}
      >
        {words.signOut}
      </button>
    </section>
  );
}
