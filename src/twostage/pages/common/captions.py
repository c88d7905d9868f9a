"""What tables and figures are called, by the names under which pages left them."""

from twostage.terms import DIRECTIONS, arrow

#: What tables and figures are called, by the beginning of their names.
TITLES = {
    "adjusted": "Effects Adjusted for Small-Study Effects",
    "against_chance": "All Specifications Against Chance",
    "autoregression": "Autoregressions by Estimator",
    "baujat": "Contribution to Heterogeneity and Influence of Each Study",
    "bayes": "The Pool by Bayes's Theorem",
    "bayes_priors": "Other Priors in the Pool by Bayes's Theorem",
    "believe": "Which Estimator to Believe Under Which Condition",
    "bias": "Bias of the Estimators in the Recovery Study",
    "bubbles": "Effects and Moderators",
    "casewise": "Influence of Each Study",
    "by_precision": "Cumulative Meta-Analysis by Precision",
    "by_transition": "Pooled Effects of Each Transition",
    "by_year": "Cumulative Meta-Analysis by Year",
    "comparison": "Both Directions Pooled Together and Apart",
    "components": "Variance Between and Within Countries",
    "countries": "Studies Within Countries",
    "continuous": "Effects Over a Longer or Shorter Interval",
    "continuous_beside": "Days Counted and Not Counted",
    "continuous_studies": "Each Study's Process in Continuous Time",
    "coverage": "Coverage of the Estimators in the Recovery Study",
    "curve": "Specification Curve",
    "design": "Effects by Design",
    "dropped": "Combinations That Were Left Out",
    "ends": "Scores at the Ends of Their Scales",
    "estimators": "Estimators Side by Side",
    "few": "Pools of Few Studies in the Recovery Study",
    "flips": "Choices That Turn the Conclusion",
    "forest_outcome": "Forest Plot of the Relation With the Outcome",
    "forest": "Forest Plot",
    "funnel": "Funnel Plot",
    "gosh": "Pooled Effects of Subsets of the Studies",
    "grid": "The Choices and Their Values",
    "heterogeneity": "Heterogeneity of Both Effects",
    "joint": "Both Effects in One Model",
    "joint_region": "Joint Confidence Region of Both Effects",
    "lags": "The Estimators at Longer Lags",
    "leave_one_out": "Pooled Effects Without Each Study",
    "overview": "Specifications by Family of Estimators",
    "onestage": "One Model of All Patients Beside Two Stages",
    "moderators": "Moderators of the Effect",
    "panel": "Casewise Diagnostics",
    "priors": "Priors and All Specifications",
    "radial": "Radial Plot",
    "responses": "What Follows a Session One Unit Higher",
    "setting": "Effects by Setting",
    "shares": "Shares of the Variance Between Specifications",
    "stages": "One Stage and Two",
    "studies": "Both Effects in Each Study",
    "study_moderators": "Moderators of Each Study",
    "tests": "Tests of Small-Study Effects",
    "type_1": "Type I Error of the Estimators in the Recovery Study",
    "variants": "Pooled Effects Under Other Choices",
    "windows": "Two Windows of Sessions",
}


def result_title(name: str, x: str, y: str) -> str:
    """What a table or figure is called: ``Forest Plot: alliance → symptoms``.

    Parameters
    ----------
    name : str
        Under which a page left it; the longest beginning of it that is known names it, else its own words.
    x, y : str
        Labels of the variables.

    Examples
    --------
    >>> result_title("forest_x_to_y", "alliance", "symptoms"), result_title("my_table", "x", "y")
    ('Forest Plot: alliance → symptoms', 'My table')
    """
    known = max((start for start in TITLES if name.startswith(start)), key=len, default="")
    ways = [direction for direction in DIRECTIONS if direction in name]
    plain_name = name.replace(ways[0], "") if ways else name
    title = TITLES.get(known, " ".join(plain_name.split("_")).strip().capitalize())
    return f"{title}: {arrow(ways[0], x, y)}" if ways else title
