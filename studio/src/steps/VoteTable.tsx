import { useLanguage, useText } from "../i18n";
import { count, percent } from "../i18n/format";
import type { Vote } from "./vote";

/** Which answers lines of thought came to, how many to each, and how sure that makes. */
export function VoteTable({ vote }: { vote: Vote }) {
  const text = useText();
  const words = text.steps.vote;
  const language = useLanguage();
  const number = (value: number) => count(language, value);
  return (
    <figure className="thoughts">
      <figcaption>
        {vote.answer === null
          ? words.none(number(vote.paths))
          : words.confidence(percent(language, vote.confidence))}
        {vote.tie ? ` ${words.tie}` : ""}
      </figcaption>
      {vote.votes.length === 0 ? null : (
        <div className="scroll" tabIndex={0} role="group" aria-label={words.table}>
          <table>
            <thead>
              <tr>
                <th scope="col">{words.answer}</th>
                <th scope="col">{words.votes}</th>
              </tr>
            </thead>
            <tbody>
              {vote.votes.map(([answer, votes]) => (
                <tr key={answer}>
                  <th scope="row" dir="auto">
                    {answer}
                  </th>
                  <td>{number(votes)}</td>
                </tr>
              ))}
              {vote.without === 0 ? null : (
                <tr>
                  <th scope="row">{words.without}</th>
                  <td>{number(vote.without)}</td>
                </tr>
              )}
            </tbody>
          </table>
        </div>
      )}
    </figure>
  );
}
